//! millstream-telemetry
