//! Watches the configuration file of a running engine, and brings what it says once that has changed and is valid.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Context;
use super::signals::{Hangup, Hangups};
use crate::config::Config;

/// How often the file is looked for.
const LOOK: Duration = Duration::from_secs(2);

/// What ends the wait for another configuration.
pub enum Watched {
    /// The file says something else, which is valid.
    Changed(Box<Config>),
    /// The terminal of a run without a screen is gone.
    TerminalGone,
}

/// Looks at the configuration file now and then, and at once when SIGHUP asks for it.
pub struct ConfigWatcher {
    path: Option<PathBuf>,
    /// What the file said when it was looked at last.
    seen: Option<Vec<u8>>,
    /// `None` while a screen is up: there SIGHUP is the screen's.
    hangups: Option<Hangups>,
}

impl ConfigWatcher {
    /// Watches the file that `context` came from; with `hangups`, listens for SIGHUP too.
    pub fn new(context: &Context, hangups: bool) -> Self {
        Self {
            path: context.config_path.clone(),
            seen: None,
            hangups: hangups.then(Hangups::listen),
        }
    }

    /// Ends when the file says something else than `config` that is valid, or the terminal is gone. What is not valid is
    /// logged and changes nothing.
    pub async fn changed(&mut self, context: &Context, config: &Arc<Config>) -> Watched {
        loop {
            let hangup = if let Some(hangups) = &mut self.hangups {
                hangups.within(LOOK).await
            } else {
                tokio::time::sleep(LOOK).await;
                None
            };
            if hangup == Some(Hangup::TerminalGone) {
                return Watched::TerminalGone;
            }
            let asked = hangup == Some(Hangup::Reload);
            if let Some(fresh) = self.look(context, asked)
                && fresh != **config
            {
                return Watched::Changed(Box::new(fresh));
            }
        }
    }

    /// What the file says, if that is valid and it was `asked` or says something new.
    fn look(&mut self, context: &Context, asked: bool) -> Option<Config> {
        let Some(path) = &self.path else {
            if asked {
                tracing::info!("SIGHUP: there is no configuration file to read anew");
            }
            return None;
        };
        let text = std::fs::read(path).ok()?;
        if !asked && self.seen.as_ref() == Some(&text) {
            return None;
        }
        self.seen = Some(text);
        let loaded = Context::load(context.global.clone());
        match loaded.and_then(|fresh| fresh.ready_to_run().map(|()| fresh)) {
            Ok(fresh) => Some(Config::clone(&fresh.config)),
            Err(errors) => {
                tracing::error!("the changed configuration is not used: {errors}");
                None
            }
        }
    }
}
