//! millstream-worker-svc
