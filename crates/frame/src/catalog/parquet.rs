//! Tables of Parquet files, read by the engine's own scan, which splits them by row groups.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::execution::session_state::SessionState;
use url::Url;

use super::OpenTable;
use crate::error::{FrameError, from_engine};

/// Opens `files` as one table; reads their footers.
pub(super) async fn open(files: &[PathBuf], state: &SessionState) -> Result<OpenTable, FrameError> {
    // Every file is named, so whatever its extension is, it belongs to the table.
    let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension("");
    let mut bytes = 0;
    let mut urls = Vec::with_capacity(files.len());
    let mut schemas = Vec::with_capacity(files.len());
    for file in files {
        bytes += size(file)?;
        let url = Url::from_file_path(file).map_err(|()| FrameError::FileNotFound { path: file.clone() })?;
        let url = ListingTableUrl::try_new(url, None).map_err(|error| from_engine(&error))?;
        let schema = options.infer_schema(state, &url).await;
        schemas.push(Arc::unwrap_or_clone(
            schema.map_err(|error| name_file(&from_engine(&error), file))?,
        ));
        urls.push(url);
    }
    let schema = Schema::try_merge(schemas).map_err(|error| FrameError::Parquet {
        message: format!("the files' columns do not agree: {error}"),
    })?;
    let config = ListingTableConfig::new_with_multi_paths(urls)
        .with_listing_options(options)
        .with_schema(Arc::new(schema));
    let table = ListingTable::try_new(config).map_err(|error| from_engine(&error))?;
    Ok(OpenTable {
        provider: Arc::new(table),
        bytes,
    })
}

fn size(file: &Path) -> Result<u64, FrameError> {
    let size = std::fs::metadata(file)
        .map_err(|error| FrameError::unreadable(file, &error))?
        .len();
    if size == 0 {
        return Err(FrameError::Parquet {
            message: format!("'{}' is empty", file.display()),
        });
    }
    Ok(size)
}

fn name_file(error: &FrameError, file: &Path) -> FrameError {
    let message = match error {
        FrameError::Parquet { message } | FrameError::Engine { message } => message,
        other => return other.clone(),
    };
    FrameError::Parquet {
        message: format!("'{}': {message}", file.display()),
    }
}
