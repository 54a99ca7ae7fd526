//! millstream-scheduler-core
