//! Any interleaving of turns, clients, failed commits and kills of the host, against a model.

use super::script::{Op, ops};
use super::world::World;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn play(script: &[Op]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new().await;
        for op in script {
            world.run(op).await;
        }
        world.check().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        rng_seed: RngSeed::Fixed(0xD15),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// What a client has on its screen when it resumes with its cursor is the log, whatever happened in between.
    #[test]
    fn every_client_sees_what_the_model_says_whatever_fails_and_whoever_dies(script in ops()) {
        play(&script);
    }
}
