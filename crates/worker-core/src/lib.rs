//! millstream-worker-core
