//! What comes from outside, checked: ids, bodies, and the version that an edit was made from.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use latchwork::Stamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::error::Category;

use crate::problem::Problem;

/// Larger bodies are refused unread.
pub(crate) const MAX_BODY: usize = 16 * 1024;

const MAX_NAME: usize = 80;
const MAX_TITLE: usize = 120;
const MAX_NOTE: usize = 4000;
const MAX_USER: usize = 64;

/// A card's id. What is not written as one is the id of no card.
pub(crate) struct CardId(pub(crate) i64);

impl<S: Send + Sync> FromRequestParts<S> for CardId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = path(parts, state).await?;
        // Ids are numbers as stamps are: from 1 to the greatest of SQL, in one way of writing.
        let id: Stamp = text.parse().map_err(|_| Problem::no_card())?;
        Ok(Self(id.as_i64()))
    }
}

/// A slug, whether there is a card of it or not.
pub(crate) struct SlugText(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for SlugText {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(Self(path(parts, state).await?))
    }
}

/// A user's id: short, visible characters only.
pub(crate) struct UserId(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for UserId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let user = path(parts, state).await?;
        if user.is_empty() || user.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(Problem::bad_request("the user id must not be empty or contain white space"));
        }
        if user.chars().count() > MAX_USER {
            return Err(Problem::bad_request(format!("the user id is longer than {MAX_USER} characters")));
        }
        Ok(Self(user))
    }
}

async fn path<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<String, Problem> {
    let path = Path::<String>::from_request_parts(parts, state).await;
    let Path(text) = path.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    Ok(text)
}

/// The version in the header `If-Match`.
#[derive(Clone, Copy)]
pub(crate) enum IfMatch {
    Absent,
    Version(Stamp),
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(header::IF_MATCH).iter();
        let value = match (values.next(), values.next()) {
            (None, _) => return Ok(Self::Absent),
            (Some(value), None) => value,
            (Some(_), Some(_)) => return Err(Problem::bad_request("there is more than one If-Match")),
        };
        let tag = value.to_str().map_err(|_| Problem::bad_request("If-Match is not ASCII"))?;
        let version = Stamp::from_etag(tag).map_err(|error| {
            Problem::bad_request(format!("If-Match must be the ETag of a card, like \"7\": {error}"))
        })?;
        Ok(Self::Version(version))
    }
}

impl IfMatch {
    /// The version that the edit was made from: in the header, in the body, or the same one in both.
    pub(crate) fn or_body(self, edit: &Edit) -> Result<Stamp, Problem> {
        match (self, edit.version()?) {
            (Self::Absent, None) => Err(Problem::new(
                StatusCode::PRECONDITION_REQUIRED,
                "say which version was edited: \"version\" in the body, or the ETag in If-Match",
            )),
            (Self::Version(header), Some(body)) if header != body => {
                Err(Problem::bad_request(format!("If-Match says version {header}, and the body says {body}")))
            }
            (Self::Version(version), _) | (Self::Absent, Some(version)) => Ok(version),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCard {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) note: String,
}

/// A change of some fields; the others stay.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    #[serde(default, deserialize_with = "given")]
    version: Option<Value>,
    #[serde(default, deserialize_with = "given")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub(crate) title: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub(crate) note: Option<String>,
}

impl Edit {
    /// The version in the body, a number or the same as text.
    fn version(&self) -> Result<Option<Stamp>, Problem> {
        let malformed = |why: String| Problem::bad_request(format!("version must be like 7 or \"7\": {why}"));
        match &self.version {
            None => Ok(None),
            Some(Value::String(text)) => {
                text.parse().map(Some).map_err(|error| malformed(format!("{error}")))
            }
            Some(Value::Number(number)) => {
                let number = number
                    .as_u64()
                    .ok_or_else(|| malformed(format!("{number} is no whole number in range")))?;
                Stamp::try_from(number).map(Some).map_err(|error| malformed(format!("{error}")))
            }
            Some(_) => Err(malformed("it is neither a number nor a text".into())),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProfile {
    pub(crate) about: String,
}

/// A field that is there, and not null: `Option` alone would take null for absent.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// What a body is read as.
pub(crate) trait Content: DeserializeOwned {
    /// An example for those whose body is not like it.
    const LIKE: &str;

    /// The content, if its texts are in order.
    fn checked(self) -> Result<Self, Problem>;
}

impl Content for NewCard {
    const LIKE: &str = r#"{"name": "Ada Lovelace", "title": "Analyst", "note": ""}"#;

    fn checked(self) -> Result<Self, Problem> {
        let name = name(&self.name)?;
        Ok(Self {
            name,
            title: text("title", self.title, MAX_TITLE)?,
            note: text("note", self.note, MAX_NOTE)?,
        })
    }
}

impl Content for Edit {
    const LIKE: &str = r#"{"version": 7, "title": "Countess"}"#;

    fn checked(self) -> Result<Self, Problem> {
        let edit = Self {
            version: self.version,
            name: self.name.map(|new| name(&new)).transpose()?,
            title: self.title.map(|title| text("title", title, MAX_TITLE)).transpose()?,
            note: self.note.map(|note| text("note", note, MAX_NOTE)).transpose()?,
        };
        if edit.name.is_none() && edit.title.is_none() && edit.note.is_none() {
            return Err(Problem::unprocessable("there is nothing to change: give a name, a title or a note"));
        }
        Ok(edit)
    }
}

impl Content for NewProfile {
    const LIKE: &str = r#"{"about": "likes engines"}"#;

    fn checked(self) -> Result<Self, Problem> {
        Ok(Self { about: text("about", self.about, MAX_NOTE)? })
    }
}

/// A name, without the white space around it.
fn name(name: &str) -> Result<String, Problem> {
    let name = text("name", name.trim().to_owned(), MAX_NAME)?;
    // Of characters that nobody sees, some are not taken for white space.
    let is_unseen = |c: char| {
        c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
    };
    if name.chars().all(is_unseen) {
        Err(Problem::unprocessable("the name must not be empty"))
    } else {
        Ok(name)
    }
}

fn text(field: &str, text: String, longest: usize) -> Result<String, Problem> {
    if text.chars().count() > longest {
        return Err(Problem::unprocessable(format!("the {field} is longer than {longest} characters")));
    }
    if text.contains(|c: char| c.is_control() && c != '\n') {
        return Err(Problem::unprocessable(format!("the {field} has a control character")));
    }
    Ok(text)
}

/// A body that is one JSON object.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: Content, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|rejection| match rejection.status() {
            status @ StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(status, format!("the body is longer than {MAX_BODY} bytes"))
            }
            status => Problem::new(status, rejection.body_text()),
        })?;
        // Derived code takes an array for a struct, too.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(Problem::bad_request(format!("the body must be a JSON object like {}", T::LIKE)));
        }
        let content: T = serde_json::from_slice(&body).map_err(|error| {
            let status = match error.classify() {
                Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
                _ => StatusCode::BAD_REQUEST,
            };
            Problem::new(status, format!("the body must be like {}: {error}", T::LIKE))
        })?;
        Ok(Self(content.checked()?))
    }
}
