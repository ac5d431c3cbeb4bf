//! Progress on a terminal: which phase runs, and how many answers came.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use doublon::load::questions::Questions;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;
use tokio::time::sleep;

const TICK: Duration = Duration::from_millis(200);

/// A line that moves while a test runs.
pub(super) struct Screen {
    bar: ProgressBar,
    questions: Arc<Questions>,
    /// Answers before the phase that runs.
    before: Arc<AtomicU64>,
    ticking: JoinHandle<()>,
}

impl Screen {
    pub(super) fn new(questions: &Arc<Questions>) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(TICK);
        let before = Arc::new(AtomicU64::new(0));
        let ticking = {
            let (bar, questions, before) =
                (bar.clone(), Arc::clone(questions), Arc::clone(&before));
            tokio::spawn(async move {
                loop {
                    bar.set_position(questions.answered() - before.load(Ordering::Relaxed));
                    sleep(TICK).await;
                }
            })
        };
        Self { bar, questions: Arc::clone(questions), before, ticking }
    }

    /// Names the phase that begins, and how many answers it will have if that is
    /// known.
    pub(super) fn phase(&self, name: &str, answers: Option<u64>) {
        let template = if answers.is_some() {
            "{msg:<32} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}"
        } else {
            "{spinner} {msg:<32} {human_pos} answers, {elapsed}"
        };
        let style = ProgressStyle::with_template(template);
        self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        self.bar.set_message(name.to_owned());
        self.before.store(self.questions.answered(), Ordering::Relaxed);
        self.bar.reset();
        if let Some(answers) = answers {
            self.bar.set_length(answers);
        } else {
            self.bar.unset_length();
        }
    }

    pub(super) fn finish(&self) {
        self.ticking.abort();
        self.bar.finish_and_clear();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.finish();
    }
}
