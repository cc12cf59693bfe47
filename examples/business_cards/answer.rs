//! What goes out: bodies with the version in them, and the same version as `ETag`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use latchwork::Stamp;
use serde::Serialize;

use crate::store::{Card, Profile};

/// The headers' value for this version.
pub(crate) fn etag(version: Stamp) -> HeaderValue {
    HeaderValue::try_from(version.etag()).expect("digits in quotes can stand in a header")
}

/// A body that has a version.
pub(crate) struct Tagged<T>(pub(crate) T);

impl IntoResponse for Tagged<Card> {
    fn into_response(self) -> Response {
        ([(header::ETAG, etag(self.0.version))], Json(self.0)).into_response()
    }
}

impl IntoResponse for Tagged<Profile> {
    fn into_response(self) -> Response {
        ([(header::ETAG, etag(self.0.version))], Json(self.0)).into_response()
    }
}

/// 201 with the new card's address.
pub(crate) fn created(card: Card) -> Response {
    let location = [(header::LOCATION, format!("/cards/{}", card.id))];
    (StatusCode::CREATED, location, Tagged(card)).into_response()
}

/// A profile that was put, and whether there was none before.
#[derive(Serialize)]
struct Upserted {
    created: bool,
    #[serde(flatten)]
    profile: Profile,
}

/// 201 if the profile is new, 200 if it has replaced another one.
pub(crate) fn upserted(profile: Profile) -> Response {
    let created = profile.version == Stamp::MIN;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    let tag = [(header::ETAG, etag(profile.version))];
    (status, tag, Json(Upserted { created, profile })).into_response()
}
