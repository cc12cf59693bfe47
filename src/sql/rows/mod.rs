//! Rows with versions: optimistic writes, which are refused if the row has changed.
//!
//! ```text
//! table    VersionedTable: the names. edit: RowEdit, the changes of one row
//! write    how a row is written, and what is reported; statement: the texts
//! error    RowError, RowConflict
//! ```

mod edit;
mod error;
mod statement;
mod table;
mod write;

pub use self::edit::RowEdit;
pub use self::error::{RowConflict, RowError};
pub use self::table::VersionedTable;
