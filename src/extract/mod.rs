//! Extractors, responses, and keys from the path or from an extractor, for axum. Needs the feature `axum`.
//!
//! With this feature the errors of this crate, [`Problem`](crate::web::Problem) and [`Tagged`](crate::web::Tagged) are
//! responses, and [`IfMatch`](crate::web::IfMatch) and [`IfNoneMatch`](crate::web::IfNoneMatch) are extractors.
//!
//! ```text
//! extract_layer   an extractor in front of a service, whose value is a key for a lock
//! path_param      keys from the path that axum's router matched
//! preconditions   `If-Match` and `If-None-Match` as extractors
//! responses       problems, errors and tagged answers as responses
//! ```

mod extract_layer;
mod path_param;
mod preconditions;
mod responses;

pub use self::extract_layer::{ExtractLayer, ExtractService};
pub use self::path_param::{PathParam, path_param};
