//! Memory short: what goes to disk, comes back, breaks, or does not fit.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;

use millstream_store::{Format, MemoryLevel, Missing, Payload, PutError, SpillError, StoreEvent};
use millstream_types::ByteSize;

use crate::harness::*;

const NO_QUOTA: u64 = u64::MAX;

fn fill(store: &millstream_store::Store, tasks: std::ops::Range<u32>) {
    for task in tasks {
        put(store, task, data(task, 20 << 10));
    }
}

#[tokio::test]
async fn least_recently_used_objects_spill_and_come_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _events) = spilling_to(dir.path(), NO_QUOTA);
    fill(&store, 0..3);
    // Reading makes the first one the most recently used.
    drop(store.get(object(0), attempt(1), None).await.unwrap());
    fill(&store, 3..4);
    eventually("one spilled", || store.usage().memory <= ByteSize::new(60 << 10));
    let spilled: Vec<_> = store.inventory().into_iter().filter(|o| o.spilled).collect();
    assert_eq!(spilled.len(), 1);
    assert_eq!(spilled[0].object, object(1));
    assert_eq!(spilled[0].bytes, ByteSize::new(20 << 10));
    assert_eq!(
        store.try_get(object(1), attempt(1), None).unwrap().map(|_| ()),
        None
    );

    fill(&store, 4..12);
    for task in 0..12 {
        let got = store.get(object(task), attempt(1), None).await.unwrap();
        assert_eq!(got.value().unwrap(), data(task, 20 << 10), "task {task}");
    }
}

#[test]
fn a_thread_without_a_runtime_reads_spilled_objects_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _events) = spilling_to(dir.path(), NO_QUOTA);
    fill(&store, 0..5);
    eventually("spilled", || store.inventory()[0].spilled);
    let got = futures::executor::block_on(store.get(object(0), attempt(1), None)).unwrap();
    assert_eq!(got.value().unwrap(), data(0, 20 << 10));
}

#[tokio::test]
async fn dropping_everything_leaves_no_byte_and_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _events) = spilling_to(dir.path(), NO_QUOTA);
    fill(&store, 0..10);
    eventually("spilled", || store.usage().memory <= ByteSize::new(60 << 10));
    for task in 0..10 {
        store.drop_object(object(task), attempt(1));
    }
    eventually("nothing left", || store.usage() == Default::default());
    assert_eq!(spill_files(dir.path()), Vec::<std::path::PathBuf>::new());
    drop(store);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn typed_data_spills_encoded_and_one_part_is_read_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _events) = spilling_to(dir.path(), NO_QUOTA);
    let numbers = Numbers::new(2000);
    let payload = Payload::Shared(numbers.clone());
    store
        .put(object(1), attempt(1), payload, Format::ArrowIpc)
        .unwrap();
    fill(&store, 2..5);
    eventually("spilled", || {
        store
            .inventory()
            .iter()
            .any(|o| o.object == object(1) && o.spilled)
    });
    assert_eq!(numbers.encoded.load(Ordering::SeqCst), 2);

    let part = store.get(object(1), attempt(1), Some(1)).await.unwrap();
    assert_eq!((part.rows(0), part.format()), (Some(4000), Format::ArrowIpc));
    let expected: Vec<u8> = (2000u64..6000).flat_map(u64::to_le_bytes).collect();
    assert_eq!(part.value().unwrap(), expected);
    let spilled = |o: &millstream_store::Stored| o.object == object(1) && o.spilled;
    assert!(
        store.inventory().iter().any(spilled),
        "one part is read beside the object"
    );
    assert_eq!(store.usage().pinned, ByteSize::new(32_000));
    drop(part);
    let whole = store.get(object(1), attempt(1), None).await.unwrap();
    assert_eq!(
        (whole.parts(), whole.rows(0), whole.rows(1)),
        (2, Some(2000), Some(4000))
    );
}

#[tokio::test]
async fn pinned_objects_do_not_spill_until_they_are_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _events) = spilling_to(dir.path(), NO_QUOTA);
    fill(&store, 0..3);
    let mut pins = Vec::new();
    for task in 0..3 {
        pins.push(store.get(object(task), attempt(1), None).await.unwrap());
    }
    fill(&store, 3..4);
    eventually("the one without readers spilled", || {
        store
            .inventory()
            .iter()
            .any(|o| o.object == object(3) && o.spilled)
    });
    assert!(store.inventory().iter().filter(|o| o.spilled).count() == 1);
    fill(&store, 4..5);
    let extra = store.get(object(4), attempt(1), None).await.unwrap();
    drop(pins);
    eventually("others spilled", || {
        store.usage().memory <= ByteSize::new(60 << 10)
    });
    drop(extra);
}

#[tokio::test]
async fn process_memory_makes_objects_spill_however_little_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut events) = spilling_to(dir.path(), NO_QUOTA);
    fill(&store, 0..1);
    store.report_process_memory(ByteSize::new(99 << 10));
    eventually("spilled", || store.usage().memory == ByteSize::ZERO);
    assert_eq!(store.report().level, MemoryLevel::Terminate);
    store.report_process_memory(ByteSize::new(10 << 10));
    let mut levels = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let StoreEvent::Memory(report) = event {
            levels.push(report.level);
        }
    }
    assert_eq!(levels, [MemoryLevel::Terminate, MemoryLevel::Normal]);
}

#[tokio::test]
async fn letting_go_of_the_last_reader_ends_a_pause() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut events) = spilling_to(dir.path(), NO_QUOTA);
    put(&store, 1, data(1, 90 << 10));
    let reader = store.get(object(1), attempt(1), None).await;
    store.drop_object(object(1), attempt(1));
    drop(reader);
    let mut last = MemoryLevel::Normal;
    while let Some(event) = events.recv().await {
        if let StoreEvent::Memory(report) = event {
            last = report.level;
        }
        if last == MemoryLevel::Normal {
            break;
        }
    }
    assert_eq!(store.report().level, MemoryLevel::Normal);
}

#[tokio::test]
async fn a_damaged_file_is_noticed_and_told_and_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut events) = spilling_to(dir.path(), NO_QUOTA);
    fill(&store, 0..4);
    eventually("spilled", || store.inventory()[0].spilled);
    let file = spill_files(dir.path()).remove(0);
    let mut file = OpenOptions::new().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(5000)).unwrap();
    file.write_all(b"flipped").unwrap();

    let (first, second) = tokio::join!(
        store.get(object(0), attempt(1), None),
        store.get(object(0), attempt(1), Some(0))
    );
    assert!(matches!(first, Err(Missing::Damaged { .. })), "{first:?}");
    assert!(second.is_err());
    assert!(!store.contains(object(0), attempt(1), None));
    let lost = loop {
        match events.recv().await.unwrap() {
            StoreEvent::Lost { object, attempt, .. } => break (object, attempt),
            _ => continue,
        }
    };
    assert_eq!(lost, (object(0), attempt(1)));
}

#[tokio::test]
async fn a_truncated_file_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _events) = spilling_to(dir.path(), NO_QUOTA);
    fill(&store, 0..4);
    eventually("spilled", || store.inventory()[0].spilled);
    let file = spill_files(dir.path()).remove(0);
    OpenOptions::new()
        .write(true)
        .open(file)
        .unwrap()
        .set_len(9000)
        .unwrap();
    let got = store.get(object(0), attempt(1), None).await.unwrap_err();
    assert!(got.to_string().contains("truncated"), "{got}");
}

#[tokio::test]
async fn a_used_up_quota_is_named_and_freeing_files_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut events) = spilling_to(dir.path(), 45 << 10);
    fill(&store, 0..6);
    let error = loop {
        if let StoreEvent::SpillFailed(error) = events.recv().await.unwrap() {
            break error;
        }
    };
    let SpillError::Quota { path, quota, .. } = &error else {
        unreachable!("{error:?}");
    };
    assert!(path.starts_with(dir.path()));
    assert_eq!(*quota, ByteSize::new(45 << 10));

    let refused = store.put(
        object(9),
        attempt(1),
        Payload::single(data(9, 20 << 10)),
        Format::Raw,
    );
    let Err(PutError::SpillFailed { source, .. }) = refused else {
        unreachable!("{refused:?}");
    };
    assert_eq!(source, error);
    assert_eq!(store.report().spillable, ByteSize::ZERO);

    store.drop_object(object(0), attempt(1));
    store.drop_object(object(1), attempt(1));
    eventually("room again", || {
        store.report().level < MemoryLevel::Pause && store.usage().memory <= ByteSize::new(60 << 10)
    });
    assert!(store.report().spillable > ByteSize::ZERO);
    put(&store, 9, data(9, 20 << 10));
}

/// A tmpfs of `size`, unmounted when dropped.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn new(path: &'a Path, size: &str) -> Option<Self> {
        let options = format!("size={size}");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "none"])
            .arg(path)
            .status();
        mount.is_ok_and(|status| status.success()).then_some(Self(path))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

/// A real full disk needs the right to mount one; without it the quota's test above covers the same path.
#[tokio::test]
#[expect(clippy::print_stderr, reason = "a test that covers less must say so")]
async fn a_full_disk_names_the_path_and_the_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mounted) = Mounted::new(dir.path(), "32k") else {
        eprintln!("cannot mount a small tmpfs here (not root): the full disk itself is not tested");
        return;
    };
    let (store, mut events) = spilling_to(dir.path(), NO_QUOTA);
    fill(&store, 0..6);
    let error = loop {
        if let StoreEvent::SpillFailed(error) = events.recv().await.unwrap() {
            break error;
        }
    };
    let text = error.to_string();
    let SpillError::DiskFull { path, bytes } = error else {
        unreachable!("{error:?}");
    };
    assert!(path.starts_with(dir.path()) && text.contains(&path.display().to_string()));
    assert!(bytes >= ByteSize::new(20 << 10) && text.contains(&bytes.to_string()));
    for task in 0..6 {
        let got = store.get(object(task), attempt(1), None).await.unwrap();
        assert_eq!(got.value().unwrap(), data(task, 20 << 10), "task {task}");
    }
    drop(store);
}
