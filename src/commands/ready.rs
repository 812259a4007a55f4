//! Finds what a run would refuse in a configuration that reads well: `run`, a reload and `check` ask the same.

use super::Context;
use crate::config::{ConfigErrors, Written};
use crate::tui::Keymap;

impl Context {
    /// Whether a run can begin: secrets and files are there and can be used, and the keys do not clash.
    ///
    /// # Errors
    /// [`ConfigErrors`]: all that is wrong, each with file, line and key.
    pub fn ready_to_run(&self) -> Result<(), ConfigErrors> {
        let (config, written) = (&*self.config, &self.written);
        let mut found = written.lacks_for_source(config);
        found.extend(written.lacks_for_serving(config));
        if let Err(error) = Keymap::new(&config.ui.keys) {
            found.extend(error.0.into_iter().map(|mistake| {
                let path = ["ui", "keys", mistake.action.as_str()];
                written.error(&path, mistake.problem, mistake.remedy)
            }));
        }
        Written::refuse(found)
    }

    /// Whether the source can be asked: its secrets and files are there and can be used.
    ///
    /// # Errors
    /// As [`Self::ready_to_run`].
    pub fn ready_to_collect(&self) -> Result<(), ConfigErrors> {
        Written::refuse(self.written.lacks_for_source(&self.config))
    }
}
