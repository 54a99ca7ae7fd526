//! The tables and views of a session, as a cell that only gateways can name.

use std::time::Duration;

use bytes::Bytes;
use millstream_protocol::api::{CatalogChange, SqlCatalog};
use millstream_protocol::codec;
use millstream_state::{Cell, Expected, SharedError};
use uuid::Uuid;

use crate::context::{Context, read_record};
use crate::error::ApiError;

/// What names of catalogs begin with. No user can write the first character in the name of a cell.
const PREFIX: &str = "\u{1}sql/";

/// Longest name of a session, in bytes.
const MAX_NAME: usize = 200;

/// How long a catalog stays that has a name of its own: until all that it holds is dropped.
const FOR_EVER: Duration = Duration::from_hours(24 * 365 * 100);

/// Writers that may be faster than this one, one after the other, before it gives up.
const ATTEMPTS: usize = 32;

/// A session's names; without a session those of one request.
#[derive(Debug)]
pub(crate) struct Names {
    kept: Option<Kept>,
    catalog: SqlCatalog,
}

/// Where a catalog is kept.
#[derive(Debug)]
struct Kept {
    cell: String,
    version: Option<u64>,
    ttl: Duration,
    is_client: bool,
}

impl Names {
    /// The names of a session, or those that the request brings.
    pub(crate) async fn of(
        gateway: &Context,
        session: Option<String>,
        brought: SqlCatalog,
    ) -> Result<Self, ApiError> {
        let Some(session) = session else {
            return Ok(Self {
                kept: None,
                catalog: brought,
            });
        };
        if session.is_empty() || session.len() > MAX_NAME || session.chars().any(char::is_control) {
            return Err(ApiError::BadParameter {
                name: "session",
                value: session.chars().take(100).collect(),
                expected: "session: expected 1 to 200 bytes without control characters",
            });
        }
        // A client's session ends with the client; any other name lasts.
        let id = session.parse::<Uuid>().ok();
        let ttl = match id {
            Some(_) => {
                gateway.check_session(&session).await?;
                gateway.settings.session_ttl
            }
            None => FOR_EVER,
        };
        let mut names = Self {
            kept: Some(Kept {
                cell: id.map_or_else(|| format!("{PREFIX}{session}"), cell_of),
                version: None,
                ttl,
                is_client: id.is_some(),
            }),
            catalog: SqlCatalog::default(),
        };
        names.read(gateway).await?;
        Ok(names)
    }

    /// The names as they are now.
    pub(crate) const fn catalog(&self) -> &SqlCatalog {
        &self.catalog
    }

    /// Makes changes, on top of what others have changed meanwhile.
    pub(crate) async fn commit(
        &mut self,
        gateway: &Context,
        changes: &[CatalogChange],
    ) -> Result<(), ApiError> {
        if changes.is_empty() {
            return Ok(());
        }
        for _ in 0..ATTEMPTS {
            let mut catalog = self.catalog.clone();
            for change in changes {
                catalog
                    .apply(change)
                    .map_err(|taken| ApiError::NameTaken(taken.0))?;
            }
            match self.write(gateway, &catalog).await {
                Ok(()) => {
                    self.catalog = catalog;
                    return Ok(());
                }
                Err(SharedError::Conflict { .. }) => self.read(gateway).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(ApiError::TooManyWaits)
    }

    async fn read(&mut self, gateway: &Context) -> Result<(), ApiError> {
        let Some(kept) = &mut self.kept else {
            return Ok(());
        };
        let cell: Option<Cell> = gateway.state.cell(&kept.cell, None, Duration::ZERO).await?;
        kept.version = cell.as_ref().map(|cell| cell.version);
        self.catalog = match cell {
            Some(cell) => read_record("a session's tables and views", &cell.value)?,
            None => SqlCatalog::default(),
        };
        Ok(())
    }

    async fn write(&mut self, gateway: &Context, catalog: &SqlCatalog) -> Result<(), SharedError> {
        let Some(kept) = &mut self.kept else {
            return Ok(());
        };
        let expected = kept.version.map_or(Expected::Absent, Expected::Version);
        if catalog.is_empty() && !kept.is_client {
            gateway.state.remove_cell(&kept.cell, expected).await?;
            kept.version = None;
            return Ok(());
        }
        // Names and texts: they always encode.
        let value = Bytes::from(codec::encode_named(catalog).unwrap_or_default());
        kept.version = Some(
            gateway
                .state
                .put_cell(&kept.cell, value, expected, kept.ttl)
                .await?,
        );
        Ok(())
    }

    /// Keeps the names of a client's session for as long as the session.
    pub(crate) async fn renew(gateway: &Context, session: Uuid) -> Result<(), ApiError> {
        let ttl = gateway.settings.session_ttl;
        gateway.state.renew_cell(&cell_of(session), ttl).await?;
        Ok(())
    }

    /// Ends the names of a client's session.
    pub(crate) async fn forget(gateway: &Context, session: Uuid) -> Result<(), ApiError> {
        gateway
            .state
            .remove_cell(&cell_of(session), Expected::Any)
            .await?;
        Ok(())
    }
}

fn cell_of(session: Uuid) -> String {
    format!("{PREFIX}{session}")
}
