//! Parameters in paths and queries. An unknown one is an error: a misspelt `wait` must not be ignored.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use actix_web::HttpRequest;
use millstream_protocol::api::Span;
use millstream_types::JobId;

use crate::error::{ApiError, BodyFault};
use crate::near::nearest;

/// The query string of a request.
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads the query string; only `known` parameters may occur.
    pub(crate) fn of(request: &HttpRequest, known: &[&'static str]) -> Result<Self, ApiError> {
        let mut values = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(request.query_string().as_bytes()) {
            if !known.contains(&name.as_ref()) {
                return Err(ApiError::Body(BodyFault {
                    message: format!("unknown field `{name}` in the query string"),
                    suggestion: nearest(&name, known.iter().copied()),
                    field: Some(name.into_owned()),
                    ..BodyFault::default()
                }));
            }
            values.insert(name.into_owned(), value.into_owned());
        }
        Ok(Self(values))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter that is not a text.
    pub(crate) fn parse<T: FromStr>(
        &self,
        name: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, ApiError> {
        self.text(name)
            .map(|value| parse(name, value, expected))
            .transpose()
    }

    /// `wait`, shortened to `longest`.
    pub(crate) fn wait(&self, longest: Duration) -> Result<Option<Duration>, ApiError> {
        let span: Option<Span> = self.parse("wait", "duration such as `10s`")?;
        Ok(span
            .map(|span| span.0.min(longest))
            .filter(|wait| !wait.is_zero()))
    }

    /// A parameter that is `true` or `false`.
    pub(crate) fn flag(&self, name: &'static str) -> Result<bool, ApiError> {
        Ok(self
            .parse(name, "truth value: write `true` or `false`")?
            .unwrap_or(false))
    }
}

/// The job of a path.
pub(crate) fn job_of(request: &HttpRequest) -> Result<JobId, ApiError> {
    parse("job", &path_part(request, "job"), "job id: expected a UUID")
}

/// A part of the path, decoded. The router leaves `%2F`, `%2B` and `%25` as they are; the sign itself comes last, so that
/// what it stands before is not taken for another one.
pub(crate) fn path_part(request: &HttpRequest, name: &str) -> String {
    let part = request.match_info().query(name);
    let coded = [
        ("%2F", "/"),
        ("%2f", "/"),
        ("%2B", "+"),
        ("%2b", "+"),
        ("%25", "%"),
    ];
    coded
        .iter()
        .fold(part.to_owned(), |text, (code, sign)| text.replace(code, sign))
}

pub(crate) fn parse<T: FromStr>(
    name: &'static str,
    value: &str,
    expected: &'static str,
) -> Result<T, ApiError> {
    value.parse().map_err(|_| ApiError::BadParameter {
        name,
        value: value.chars().take(100).collect(),
        expected,
    })
}
