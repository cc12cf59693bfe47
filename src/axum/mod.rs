//! Around handlers: a lock for each request's key, preconditions, errors as responses. Needs the feature `axum`.
//!
//! ```text
//! problem        errors as responses: one type for each
//! precondition   `If-Match` and `If-None-Match`; tagged: the stamp of what is answered
//! layer          a lock around a service: what is set up; service and call: what it does
//! coalesce       one call of a service for all who ask for the same
//! ```
