//! Values that clients leave on a worker.

use std::io::{self, Read as _};

use bytes::Bytes;
use futures::stream;
use millstream_transfer::{FetchError, UploadShelf};
use millstream_types::ByteSize;
use uuid::Uuid;

use crate::harness::*;

const ID: Uuid = Uuid::from_u128(3);

fn body(chunks: Vec<io::Result<Bytes>>) -> impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::iter(chunks)
}

fn shelf(folder: &tempfile::TempDir, quota: u64) -> UploadShelf {
    UploadShelf::open(folder.path().join("uploads"), ByteSize::new(quota)).unwrap()
}

fn content(shelf: &UploadShelf) -> Option<Vec<u8>> {
    let (mut file, length) = shelf.open_file(ID).ok()?;
    let mut read = Vec::new();
    file.read_to_end(&mut read).unwrap();
    assert_eq!(read.len() as u64, length);
    Some(read)
}

#[tokio::test]
async fn an_upload_is_there_until_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(&folder, 1 << 20);
    let (_store, server) = served();
    server.serve_uploads(shelf.clone());
    let (first, second) = (data(1, 300_000), data(2, 5));
    let sent = fetcher()
        .upload(
            server.address(),
            ID,
            body(vec![Ok(first.clone()), Ok(second.clone())]),
        )
        .await
        .unwrap();
    let whole = [first, second].concat();
    assert_eq!((sent.length, sent.crc), (300_005, crc32fast::hash(&whole)));
    assert_eq!(content(&shelf), Some(whole));
    // Again, as after a lost answer.
    let again = fetcher()
        .upload(server.address(), ID, body(vec![Ok(data(3, 7))]))
        .await
        .unwrap();
    assert_eq!(again.length, 7);
    assert_eq!(content(&shelf).as_deref(), Some(&*data(3, 7)));
    fetcher().remove_upload(server.address(), ID).await.unwrap();
    assert_eq!(content(&shelf), None);
}

#[tokio::test]
async fn what_breaks_off_or_does_not_fit_leaves_nothing_and_takes_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(&folder, 1_000);
    let broken = vec![Ok(data(1, 800)), Err(io::Error::other("gone"))];
    assert!(shelf.receive(ID, body(broken)).await.is_err());
    let error = shelf
        .receive(ID, body(vec![Ok(data(1, 1_001))]))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("worker.spill_quota"), "{error}");
    assert_eq!(content(&shelf), None);
    shelf.receive(ID, body(vec![Ok(data(1, 1_000))])).await.unwrap();
    // What is there counts, until it goes.
    assert!(
        shelf
            .receive(Uuid::from_u128(4), body(vec![Ok(data(1, 1))]))
            .await
            .is_err()
    );
    shelf.remove(ID);
    shelf.receive(ID, body(vec![Ok(data(2, 1_000))])).await.unwrap();
    assert_eq!(
        std::fs::read_dir(folder.path().join("uploads")).unwrap().count(),
        1
    );
    drop(shelf);
    assert!(!folder.path().join("uploads").exists());
}

#[tokio::test]
async fn a_worker_without_room_or_secret_refuses() {
    let (_store, server) = served();
    let address = server.address();
    let refused = fetcher().upload(address, ID, body(vec![Ok(data(1, 1))])).await;
    assert!(matches!(refused, Err(FetchError::Refused { .. })), "{refused:?}");
    let folder = tempfile::tempdir().unwrap();
    server.serve_uploads(shelf(&folder, 1_000));
    let url = format!("http://{address}/uploads/{ID}");
    let request = reqwest::Client::new().put(&url).bearer_auth("wrong").body("x");
    assert_eq!(request.send().await.unwrap().status(), 401);
}
