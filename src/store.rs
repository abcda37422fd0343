//! the only home of SQL.
