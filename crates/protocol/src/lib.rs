//! millstream-protocol
