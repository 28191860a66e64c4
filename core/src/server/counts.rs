//! What became of requests, in numbers.

/// Requests of one worker since it began. What has begun was answered, has failed, or is under
/// way.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Heads that came, and what was refused before it was one.
    pub begun: u64,
    /// Those whose response came from a service, complete.
    pub answered: u64,
    /// Those that were refused, or cut, or given up by their client.
    pub failed: u64,
    /// Those that are neither yet.
    pub under_way: u64,
}

impl Counts {
    /// One is over.
    pub(super) const fn end(&mut self, answered: bool) {
        if answered {
            self.answered += 1;
        } else {
            self.failed += 1;
        }
    }

    /// The same when what is under way will not be answered.
    pub(super) const fn given_up(self) -> Self {
        Self { failed: self.failed + self.under_way, under_way: 0, ..self }
    }

    /// Adds those of a part.
    pub(super) const fn add(&mut self, part: Self) {
        self.begun += part.begun;
        self.answered += part.answered;
        self.failed += part.failed;
        self.under_way += part.under_way;
    }
}
