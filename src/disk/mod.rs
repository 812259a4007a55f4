//! Atomic files, locks, Parquet, SQLite opening: bytes and tables, no meaning.
