//! Settings of every Millstream process: read once, checked once, handed out by section.
//!
//! Responsible for the order of sources (defaults < file < `MILLSTREAM__SECTION__KEY` < command line), for turning
//! texts such as `30s` and `2GiB` into typed values, and for errors that name the key, the value, where it came from
//! and what to do. One table, in [`Settings`]'s module, makes the structs, the defaults and the reference page.
//!
//! It holds no state after loading, watches no file, and never shows a [`Secret`].

mod check;
mod endpoint;
mod error;
mod load;
mod reference;
mod secret;
mod section;
mod settings;
mod units;
mod value;
mod values;

pub use endpoint::Endpoint;
pub use error::{ConfigError, Origin, Problem};
pub use load::{CONFIG_VARIABLE, ENV_PREFIX, Loader};
pub use reference::reference_page;
pub use secret::{Secret, SecretFileError};
pub use section::{KeyInfo, SectionInfo};
pub use settings::{
    BrokerSettings, ClusterSettings, DataSettings, GatewaySettings, HealthSettings, LogSettings,
    MetricsSettings, PythonSettings, RedisSettings, SchedulerSettings, Settings, WorkerSettings,
};
pub use units::DurationError;
pub use values::{Access, DataRoot, Fraction, LogFormat, MemoryLimit, SlotCount};
