//! millstream-frame
