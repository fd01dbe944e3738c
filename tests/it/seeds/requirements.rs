//! Examples with requirements that have to be installed: seeds 000 and 001.

use crate::support::{Seed, TestGateway, chat, streamed_chat};

/// A gateway whose operator approves what the examples ask for.
async fn gateway() -> TestGateway {
    let approved = ["requests", "beautifulsoup4", "numpy", "httpx"];
    TestGateway::setup()
        .python()
        .approving(&approved)
        .start()
        .await
}

#[tokio::test]
async fn frontmatter_dependency_installation_installs_the_versions_of_the_list() {
    let Some(seed) = Seed::open("000") else {
        return;
    };
    let gateway = gateway().await;
    let frontmatter = seed.block("Frontmatter Dependency Installation", 0);
    let frame = "import bs4\nimport requests\n\nclass Pipe:\n    def pipe(self, body):\n        \
                 return f'{requests.__version__} {bs4.__version__}'\n";
    gateway
        .management()
        .install("versions", &(frontmatter + frame))
        .await;
    let answer = gateway
        .user()
        .chat(&chat("versions", "hi"))
        .await
        .expect(200);
    assert_eq!(answer.content(), "2.28.1 4.11.1");
}

#[tokio::test]
async fn function_implementation_answers_once_it_is_active_and_chosen_as_the_model() {
    let Some(seed) = Seed::open("000") else {
        return;
    };
    let gateway = gateway().await;
    let management = gateway.management();
    let created = management
        .create("custom", &seed.block("Function Implementation", 0))
        .await;
    let created = created.expect(200).json();
    assert_eq!(
        (created["type"].as_str(), created["is_active"].as_bool()),
        (Some("pipe"), Some(false))
    );
    gateway.user().chat(&chat("custom", "hi")).await.expect(404);
    management.toggle("custom").await;
    let answer = gateway.user().chat(&chat("custom", "hi")).await.expect(200);
    assert_eq!(answer.content(), "Hello from custom function!");
    let answer = gateway
        .user()
        .chat(&streamed_chat("custom", "hi"))
        .await
        .expect(200);
    assert_eq!(answer.streamed_content(), "Hello from custom function!");
}

#[tokio::test]
async fn frontmatter_fields_installs_requirements_and_keeps_the_other_fields() {
    let Some(seed) = Seed::open("001") else {
        return;
    };
    let gateway = gateway().await;
    let frame = "import httpx\nimport numpy\n\nclass Pipe:\n    def pipe(self, body):\n        \
                 return f'{numpy.arange(4).sum()} {httpx.URL(\"http://h/p\").path} {__doc__.strip()}'\n";
    let code = seed.block("Frontmatter fields", 0) + frame;
    let created = gateway
        .management()
        .create("fields", &code)
        .await
        .expect(200)
        .json();
    let manifest = &created["meta"]["manifest"];
    assert_eq!(
        (&manifest["requirements"], &manifest["other_field"]),
        (&"httpx, numpy".into(), &"example".into())
    );
    gateway.management().toggle("fields").await;
    let answer = gateway.user().chat(&chat("fields", "hi")).await.expect(200);
    assert_eq!(
        answer.content(),
        "6 /p requirements: httpx, numpy\nother_field: example"
    );
}
