//! millstream-gateway
