//! Files on disk: uploads on their way to be sources, logs, results as they are served and removed.

pub(crate) mod beneath;
pub(crate) mod disk;
pub(crate) mod log;
pub(crate) mod removal;
pub(crate) mod spool;
pub(crate) mod static_file;
