//! The binary `fake-llm`, run as a host's test runs it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

#[expect(clippy::disallowed_methods, reason = "a test of a binary starts the binary")]
fn fake_llm(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fake-llm"));
    let command = command.args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the binary was built for this test")
}

#[test]
fn the_first_line_names_a_base_url_that_answers() {
    let mut child = fake_llm(&["--listen", "127.0.0.1:0"]);
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("listening on http://");
    let address = address.and_then(|rest| rest.strip_suffix("/v1")).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(answer.contains("fake-text-20"), "{answer}");
}

#[test]
fn a_wrong_command_line_is_told_in_one_line() {
    for (arguments, reason) in [
        (vec!["--port"], "unknown option `--port`"),
        (vec!["--listen"], "`--listen` needs a value"),
        (vec!["--listen", "here"], "`--listen here`"),
        (vec!["--listen", "0.0.0.0:0"], "is not an address of loopback"),
        (vec!["--script", "/does/not/exist"], "cannot read `/does/not/exist`"),
        (vec!["--script", "/dev/null"], "`/dev/null` is not a script"),
    ] {
        let output = fake_llm(&arguments).wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{told}");
        assert!(told.contains(reason), "{told}");
    }
}
