//! Server-sent events, as far as gateways write them.

use bytes::BytesMut;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServerEvent {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    /// Its data; empty where it has none.
    pub(crate) data: String,
}

/// Takes the next whole event from the front of what has arrived.
pub(crate) fn take(buffer: &mut BytesMut) -> Option<ServerEvent> {
    let end = buffer.windows(2).position(|pair| pair == b"\n\n")?;
    let block = buffer.split_to(end + 2);
    let text = String::from_utf8_lossy(&block);
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(|value| value.trim().to_owned())
    };
    Some(ServerEvent {
        id: field("id"),
        name: field("event"),
        data: field("data").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_when_they_are_whole() {
        let mut buffer = BytesMut::from("retry: 2000\nid: 7\nevent: jobs\ndata: {}\n\nevent: clu");
        let event = ServerEvent {
            id: Some("7".to_owned()),
            name: Some("jobs".to_owned()),
            data: "{}".to_owned(),
        };
        assert_eq!(take(&mut buffer), Some(event));
        assert_eq!(take(&mut buffer), None);
        buffer.extend_from_slice(b"ster\ndata: 1\n\n");
        assert_eq!(
            take(&mut buffer).and_then(|event| event.name).as_deref(),
            Some("cluster")
        );
        assert!(buffer.is_empty());
    }
}
