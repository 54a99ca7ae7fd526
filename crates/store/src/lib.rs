//! millstream-store
