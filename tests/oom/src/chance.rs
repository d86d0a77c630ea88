//! Chance that can be had again: a test prints its seed.

/// Numbers that look random (splitmix64, by Sebastiano Vigna).
#[derive(Debug)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// Begins at the time of day, and says so on stdout, which is shown if the test fails; `OOM_TESTS_SEED` begins elsewhere.
    pub fn new() -> Chance {
        let seed = std::env::var("OOM_TESTS_SEED").ok().and_then(|seed| seed.parse().ok());
        let state = seed.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.expect("it is after 1970").subsec_nanos().into()
        });
        println!("OOM_TESTS_SEED={state}");
        Chance { state }
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

impl Default for Chance {
    fn default() -> Chance {
        Chance::new()
    }
}
