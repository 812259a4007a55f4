//! Atomic files, locks, Parquet, SQLite opening: bytes and tables, no meaning.
//!
//! Nothing here knows what a file is for. A file is either the whole old one or the whole new one, never half of either;
//! a file that can't be read is reported or set aside, never trusted, and never a panic.

pub mod atomic;
mod error;
pub mod identity;
mod leftovers;
pub mod lock;
pub mod sheet;
pub mod sqlite;
pub mod table;
mod table_read;

pub use atomic::{free_space, set_aside, write_atomic};
pub use error::DiskError;
pub use identity::FileMark;
pub use leftovers::remove_leftovers;
pub use lock::DirLock;
pub use sheet::{Cells, Sheet};
pub use table::Table;
