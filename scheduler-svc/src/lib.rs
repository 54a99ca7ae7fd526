//! millstream-scheduler-svc
