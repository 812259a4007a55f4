//! A server that repeats the secrets it was sent, in every way of writing them: none of them is shown by the program.

use std::process::{Command, Stdio};

use crate::binary::App;
use crate::common::http;
use crate::common::misbehaving::{Misbehaving, Reply};
use crate::common::servers::free_port;

const TOKEN: &str = "p/s+s <&w%41rd-s3cr3t";

/// How a server may write [`TOKEN`].
const FORMS: [&str; 5] = [
    TOKEN,
    "p%2Fs%2Bs%20%3C%26w%2541rd-s3cr3t",
    "p%2fs%2bs+%3c%26w%2541rd-s3cr3t",
    "p/s+s \\u003c\\u0026w%41rd-s3cr3t",
    "p/s+s &lt;&amp;w%41rd-s3cr3t",
];

fn config(url: &str, port: u16) -> String {
    format!(
        "[source]\nkind = \"prometheus\"\nurl = \"{url}/?token={}\"\nbearer = \"{TOKEN}\"\nretries = 0\nstep = \"1s\"\n\
         [queries.up]\nexpr = \"up\"\n\
         [detect]\ninterval = \"1s\"\n\
         [exporter]\nlisten = \"127.0.0.1:{port}\"\n",
        http::escaped(TOKEN)
    )
}

/// Nothing of the secret but what every text may have.
fn assert_hidden(text: &str, whose: &str) {
    assert!(!text.contains("s3cr3t"), "{whose} shows it: {text}");
    for form in FORMS {
        assert!(!text.contains(form), "{whose} shows {form}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_repeats_is_hidden_in_answers_log_and_check() {
    let echo = FORMS.join(" and ");
    let server = Misbehaving::always(Reply::status(500, "", &format!("not for {echo}"))).await;
    let port = free_port();
    let text = config(&server.url(), port);
    let run = move || {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let mut app = App::start(&data, &text, &["-vv"]);
        let answer = |path: &str| http::request(port, "GET", path, &[]).ok();
        app.until("the error in the answer of /", |_| {
            answer("/").filter(|(_, body)| body.contains("not for ****"))
        });
        for path in ["/", "/metrics", "/metrics/live-short", "/readyz"] {
            assert_hidden(&answer(path).unwrap().1, path);
        }
        let file = dir.path().join("config.toml");
        std::fs::write(&file, &text).unwrap();
        for command in ["check", "config show"] {
            let output = Command::new(env!("CARGO_BIN_EXE_pulsewatch"))
                .args(command.split(' '))
                .arg("--config")
                .arg(&file)
                .env("HOME", dir.path())
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(said.contains("127.0.0.1"), "{command}: {said}");
            assert_hidden(&said, command);
        }
        let log = app.stop();
        assert!(log.contains("not for ****"), "{log}");
        assert_hidden(&log, "the log");
    };
    tokio::task::spawn_blocking(run).await.unwrap();
}
