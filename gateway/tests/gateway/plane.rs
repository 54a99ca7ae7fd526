//! The data plane of the scripted leader's one worker: it is real, and holds nothing but uploads.

use millstream_store::{SpillPolicy, Store, StoreConfig};
use millstream_transfer::{DataServer, DataServerOptions, UploadShelf};
use millstream_types::ByteSize;

use crate::support::CLUSTER_SECRET;

/// What all uploads may take.
pub(crate) const QUOTA: ByteSize = ByteSize::from_mib(8);

pub(crate) struct DataPlane {
    server: DataServer,
    pub(crate) shelf: UploadShelf,
    _folder: tempfile::TempDir,
}

impl DataPlane {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            limit: ByteSize::from_mib(1),
            policy: SpillPolicy::default(),
            spill: None,
        };
        let options = DataServerOptions {
            host: "127.0.0.1".to_owned(),
            port: 0,
            advertise: None,
            secret: CLUSTER_SECRET.to_owned(),
        };
        let server = DataServer::start(Store::open(config).unwrap().0, options).unwrap();
        let shelf = UploadShelf::open(folder.path().join("uploads"), QUOTA).unwrap();
        server.serve_uploads(shelf.clone());
        Self {
            server,
            shelf,
            _folder: folder,
        }
    }

    pub(crate) fn address(&self) -> &str {
        self.server.address()
    }
}
