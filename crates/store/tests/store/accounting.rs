//! Whatever is done in whatever order, the counts are exact and the bytes are right.

use std::collections::BTreeMap;

use millstream_store::{Format, Payload, Pinned, Store};
use millstream_types::ByteSize;
use proptest::prelude::*;

use crate::harness::*;

#[derive(Debug, Clone)]
enum Step {
    Put { task: u32, len: usize },
    Get { task: u32, hold: bool },
    Unpin,
    Drop { task: u32 },
    Process { kib: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let task = 0..8u32;
    prop_oneof![
        4 => (task.clone(), 0..30_000usize).prop_map(|(task, len)| Step::Put { task, len }),
        4 => (task.clone(), any::<bool>()).prop_map(|(task, hold)| Step::Get { task, hold }),
        2 => Just(Step::Unpin),
        2 => task.prop_map(|task| Step::Drop { task }),
        1 => (0..100u64).prop_map(|kib| Step::Process { kib }),
    ]
}

/// What must be stored, and what is being read of it.
#[derive(Default)]
struct Model {
    held: BTreeMap<u32, usize>,
    pins: Vec<(u32, usize, Pinned)>,
}

async fn apply(store: &Store, model: &mut Model, step: Step) {
    match step {
        Step::Put { task, len } => {
            let payload = Payload::single(data(task, len));
            if store.put(object(task), attempt(1), payload, Format::Raw).is_ok() {
                model.held.entry(task).or_insert(len);
            }
        }
        Step::Get { task, hold } => {
            let got = store.get(object(task), attempt(1), None).await;
            let Some(len) = model.held.get(&task) else {
                assert!(got.is_err());
                return;
            };
            let got = got.unwrap();
            assert_eq!(got.value().unwrap(), data(task, *len));
            if hold {
                model.pins.push((task, *len, got));
            }
        }
        Step::Unpin => {
            if !model.pins.is_empty() {
                model.pins.remove(0);
            }
        }
        Step::Drop { task } => {
            model.held.remove(&task);
            store.drop_object(object(task), attempt(1));
        }
        Step::Process { kib } => store.report_process_memory(ByteSize::new(kib << 10)),
    }
}

/// Every object is counted once, in memory or on disk; what is being read is in memory.
fn check(store: &Store, model: &Model) {
    let inventory = store.inventory();
    let names: Vec<_> = inventory.iter().map(|o| (o.object.task.0, o.bytes)).collect();
    let expected: Vec<_> = model
        .held
        .iter()
        .map(|(task, len)| (*task, ByteSize::of_len(*len)))
        .collect();
    assert_eq!(names, expected);
    for (task, len, pin) in &model.pins {
        assert_eq!(pin.value().unwrap(), data(*task, *len));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn counts_stay_exact_and_bytes_stay_right(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (store, _events) = spilling_to(dir.path(), 200 << 10);
        let mut model = Model::default();
        runtime.block_on(async {
            for step in steps {
                apply(&store, &mut model, step).await;
                check(&store, &model);
            }
        });
        model.pins.clear();
        store.report_process_memory(ByteSize::ZERO);
        eventually("in memory exactly what is not on disk", || {
            let resident: ByteSize = store.inventory().iter().filter(|o| !o.spilled).map(|o| o.bytes).sum();
            store.usage().memory == resident && store.usage().pinned == ByteSize::ZERO
        });
        store.drop_job(object(0).job);
        eventually("nothing left", || store.usage() == Default::default());
        prop_assert!(spill_files(dir.path()).is_empty());
    }
}
