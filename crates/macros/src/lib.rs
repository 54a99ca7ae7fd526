//! millstream-macros
