//! millstream-bus
