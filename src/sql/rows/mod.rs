//! Rows with versions: optimistic writes, which are refused if the row has changed.
//!
//! ```text
//! table    VersionedTable: the names. edit: RowEdit, the changes of one row
//! write    what is done to a row; statement: in which words
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
