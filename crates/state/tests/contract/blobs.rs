//! Blobs: gateways bring them, the leader decides how long they stay.

use bytes::Bytes;
use millstream_state::{StateStore, Write};

use crate::harness::{Harness, LONG, SHORT, commit, eventually, lead};

fn keep(key: &str) -> Write {
    Write::KeepBlob { key: key.to_owned() }
}

/// Waits until something that was put now with the short ttl is gone.
async fn let_the_short_ttl_pass(store: &dyn StateStore) {
    store.put_blob("hourglass", "sand".into(), SHORT).await.unwrap();
    eventually("the hourglass is empty", async || {
        store.get_blob("hourglass").await == Ok(None)
    })
    .await;
}

pub(crate) async fn a_blob_expires(harness: impl Harness) {
    let store = harness.store();
    let big = Bytes::from(vec![0xA5; 3 << 20]);
    store.put_blob("graph", big.clone(), LONG).await.unwrap();
    assert_eq!(store.get_blob("graph").await, Ok(Some(big)));
    let_the_short_ttl_pass(store).await;
    assert_eq!(store.get_blob("never put").await, Ok(None));
    assert_eq!(store.extend_blob("hourglass", LONG).await, Ok(false));
    assert_eq!(store.delete_blob("graph").await, Ok(true));
    assert_eq!(store.delete_blob("graph").await, Ok(false));
}

pub(crate) async fn a_kept_blob_does_not_expire_until_the_leader_lets_it(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    store.put_blob("function", "code".into(), SHORT).await.unwrap();
    let written = Write::PutBlob {
        key: "written".to_owned(),
        data: "back".into(),
    };
    commit(store, &fence, &[keep("function"), keep("missing"), written]).await;
    let_the_short_ttl_pass(store).await;
    assert_eq!(store.get_blob("function").await, Ok(Some(Bytes::from("code"))));
    assert_eq!(store.get_blob("written").await, Ok(Some(Bytes::from("back"))));
    assert_eq!(store.get_blob("missing").await, Ok(None));
    let expire = Write::ExpireBlob {
        key: "function".to_owned(),
        ttl: SHORT,
    };
    commit(
        store,
        &fence,
        &[
            expire,
            Write::DeleteBlob {
                key: "written".to_owned(),
            },
        ],
    )
    .await;
    assert_eq!(store.get_blob("written").await, Ok(None));
    eventually("the function expires", async || {
        store.get_blob("function").await == Ok(None)
    })
    .await;
}

pub(crate) async fn a_gateway_cannot_shorten_or_delete_a_kept_blob(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    store.put_blob("function", "code".into(), LONG).await.unwrap();
    commit(store, &fence, &[keep("function")]).await;
    store.put_blob("function", "code".into(), SHORT).await.unwrap();
    assert_eq!(store.extend_blob("function", SHORT).await, Ok(true));
    assert_eq!(store.delete_blob("function").await, Ok(false));
    let_the_short_ttl_pass(store).await;
    assert_eq!(store.get_blob("function").await, Ok(Some(Bytes::from("code"))));
}

pub(crate) async fn extending_never_shortens(harness: impl Harness) {
    let store = harness.store();
    store.put_blob("a", "1".into(), LONG).await.unwrap();
    store.put_blob("b", "2".into(), SHORT).await.unwrap();
    store.put_blob("c", "3".into(), LONG).await.unwrap();
    assert_eq!(store.extend_blob("a", SHORT).await, Ok(true));
    assert_eq!(store.extend_blob("b", LONG).await, Ok(true));
    store.put_blob("c", "4".into(), SHORT).await.unwrap();
    let_the_short_ttl_pass(store).await;
    for (key, value) in [("a", "1"), ("b", "2"), ("c", "4")] {
        assert_eq!(store.get_blob(key).await, Ok(Some(Bytes::from(value))));
    }
}

pub(crate) async fn a_fenced_leader_changes_no_blob(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    store.put_blob("function", "code".into(), LONG).await.unwrap();
    store.release_lease(&fence).await.unwrap();
    let delete = Write::DeleteBlob {
        key: "function".to_owned(),
    };
    assert!(store.commit(&fence, &[delete]).await.is_err());
    assert_eq!(store.get_blob("function").await, Ok(Some(Bytes::from("code"))));
}
