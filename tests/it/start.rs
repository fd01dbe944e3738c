//! The start: what must be right, what must not be needed.

use std::collections::BTreeSet;

use crate::support::{FakeUpstream, TestGateway, chat};

#[tokio::test]
async fn every_mistake_of_the_configuration_is_reported_before_a_port_is_bound() {
    let setup = TestGateway::setup()
        .settings("listen = \"nowhere\"\nno_such_key = 1\nhalf_close = \"perhaps\"");
    let setup = setup
        .tables("[limits]\nbody_bytes = \"many\"\n[[upstreams]]\nname = \"x\"\nkind = \"openai\"");
    let (status, said) = setup.run_to_end().await;
    assert_eq!(status.code(), Some(64), "{said}");
    for part in [
        "listen",
        "no_such_key",
        "half_close",
        "body_bytes",
        "base_url",
    ] {
        assert!(said.contains(part), "`{part}` is not named in: {said}");
    }
    assert!(!said.contains("listening"));
}

#[tokio::test]
async fn a_second_gateway_on_one_data_folder_does_not_start_and_names_the_folder() {
    let gateway = TestGateway::setup().start().await;
    let (status, said) = TestGateway::setup().home_of(&gateway).run_to_end().await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(
        said.contains(gateway.data_dir().to_str().unwrap()),
        "{said}"
    );
}

#[tokio::test]
async fn a_functions_folder_that_cannot_be_read_ends_the_start() {
    let setup = TestGateway::setup();
    let data_dir = setup.home().join("data");
    let folder = data_dir.join("functions");
    // Filters may have been in it.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&data_dir).unwrap();
    std::fs::write(&folder, "no folder").unwrap();
    let (status, said) = setup.run_to_end().await;
    assert_eq!(status.code(), Some(1), "{said}");
    let expected = format!("the functions folder `{}` cannot be read", folder.display());
    assert!(said.contains(&expected), "{said}");
}

#[tokio::test]
async fn a_gateway_without_functions_needs_no_python() {
    let upstream = FakeUpstream::echo().await;
    let setup = TestGateway::setup().environment("PATH", "/nonexistent");
    let gateway = setup.upstream("fake", &upstream.base_url()).start().await;
    let answer = gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    assert_eq!(answer.content(), "echo: hi");
    assert!(
        gateway.process().descendants().is_empty(),
        "no process was started"
    );
}

#[test]
fn the_binary_links_no_python() {
    let binary = std::fs::read(env!("CARGO_BIN_EXE_sluicegate")).unwrap();
    let libraries = needed_libraries(&binary);
    assert!(
        libraries.iter().any(|name| name.starts_with("libc.")),
        "{libraries:?}"
    );
    assert!(
        !libraries.iter().any(|name| name.contains("python")),
        "{libraries:?}"
    );
}

/// The shared libraries that a 64-bit little-endian ELF file asks for: the `DT_NEEDED` entries of its dynamic section.
fn needed_libraries(elf: &[u8]) -> BTreeSet<String> {
    assert_eq!(
        &elf[..6],
        b"\x7fELF\x02\x01",
        "a 64-bit little-endian ELF file"
    );
    let number = |at: usize, size: usize| {
        let bytes = elf[at..at + size].iter().rev();
        bytes.fold(0_usize, |number, byte| number << 8 | usize::from(*byte))
    };
    let (table, entry_size, count) = (number(40, 8), number(58, 2), number(60, 2));
    let section = |index: usize| table + index * entry_size;
    let dynamic = (0..count).map(section).find(|at| number(at + 4, 4) == 6);
    let dynamic = dynamic.expect("a dynamic section");
    let strings = number(section(number(dynamic + 40, 4)) + 24, 8);
    let (offset, size) = (number(dynamic + 24, 8), number(dynamic + 32, 8));
    (offset..offset + size)
        .step_by(16)
        .filter(|at| number(*at, 8) == 1)
        .map(|at| text_at(elf, strings + number(at + 8, 8)))
        .collect()
}

fn text_at(elf: &[u8], at: usize) -> String {
    let bytes = elf[at..].split(|byte| *byte == 0).next();
    String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap()
}
