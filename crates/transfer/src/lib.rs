//! millstream-transfer
