//! What comes from outside, checked: ids, bodies, and the version that an edit was made from.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use latchwork::web::{IfMatch, Problem};
use latchwork::{Stamp, stamp::ParseStampError, versioned::Expect};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::body::{Content, bad_request, unprocessable};
use crate::store::StoreError;

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
        let id: Stamp = text.parse().map_err(|_| StoreError::NoCard)?;
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
            return Err(bad_request("the user id must not be empty or contain white space"));
        }
        if user.chars().count() > MAX_USER {
            return Err(bad_request(format!("the user id is longer than {MAX_USER} characters")));
        }
        Ok(Self(user))
    }
}

async fn path<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<String, Problem> {
    let path = Path::<String>::from_request_parts(parts, state).await;
    let Path(text) =
        path.map_err(|rejection| Problem::new(rejection.status()).with_detail(rejection.body_text()))?;
    Ok(text)
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
    /// What the edit wants to find: what the header says, the version in the body, or the same in both.
    pub(crate) fn expect(&self, if_match: Option<&IfMatch>) -> Result<Expect, Problem> {
        match (if_match.map(IfMatch::expect), self.version()?.map(Expect::Exact)) {
            (None, None) => Err(Problem::precondition_required(
                "say which version was edited: \"version\" in the body, or the ETag in If-Match",
            )),
            (Some(header), Some(body)) if header != body => {
                Err(bad_request("If-Match and \"version\" in the body do not say the same"))
            }
            (Some(expect), _) | (None, Some(expect)) => Ok(expect),
        }
    }

    /// The version in the body, as text or as a number.
    fn version(&self) -> Result<Option<Stamp>, ParseStampError> {
        self.version
            .as_ref()
            .map(|version| match version {
                Value::String(text) => text.parse(),
                other => other.to_string().parse(),
            })
            .transpose()
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
            return Err(unprocessable("there is nothing to change: give a name, a title or a note"));
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
    if name.chars().all(is_unseen) { Err(unprocessable("the name must not be empty")) } else { Ok(name) }
}

fn text(field: &str, text: String, longest: usize) -> Result<String, Problem> {
    if text.chars().count() > longest {
        return Err(unprocessable(format!("the {field} is longer than {longest} characters")));
    }
    if text.contains(|c: char| c.is_control() && c != '\n') {
        return Err(unprocessable(format!("the {field} has a control character")));
    }
    Ok(text)
}
