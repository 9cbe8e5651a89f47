//! Who may not come in: every route against every wrong head, and no op is called.

use super::{World, world};
use serde_json::json;

/// Every route, and one that is none.
const ROUTES: &[&str] = &[
    "GET /livez",
    "GET /readyz",
    "GET /version",
    "GET /openapi.json",
    "GET /metrics",
    "GET /v1/things/1",
    "HEAD /v1/things/1",
    "POST /v1/things",
    "PUT /v1/things/1",
    "DELETE /v1/things/1",
    "GET /v1/things/1/events",
    "OPTIONS /v1/things/1",
    "GET /nothing",
];

fn is_probe(route: &str) -> bool {
    route.ends_with("livez") || route.ends_with("readyz")
}

/// No op was run, and none was listed after the start; a probe asks how the host stands.
fn nothing_was_asked(world: &World) {
    let asked = world.host.calls().into_iter().map(|call| call.verb);
    let asked: Vec<_> = asked.filter(|verb| verb != "kernel.v1/health").collect();
    assert_eq!(asked, ["op.v1/list"]);
}

async fn status(world: &World, request: &str) -> u16 {
    world.client().await.ask(request).await.status
}

#[tokio::test]
async fn without_the_token_no_route_answers_but_the_probes() {
    let world = world(json!({})).await;
    let (address, token) = (world.address, &world.token);
    let wrong = token.replace(|c: char| c.is_ascii_digit(), "x");
    let bad = [
        String::new(),
        format!("Authorization: Bearer {wrong}\r\n"),
        format!("Authorization: Bearer {}\r\n", &token[..63]),
        format!("Authorization: Bearer {token}0\r\n"),
        format!("Authorization: {token}\r\n"),
        format!("Authorization: Basic {token}\r\n"),
        format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n"),
        "Authorization: Bearer\r\n".to_owned(),
        "Authorization: Bearer \r\n".to_owned(),
        format!("Cookie: token={token}\r\nX-Token: {token}\r\n"),
    ];
    for route in ROUTES {
        for lines in &bad {
            let request = format!("{route} HTTP/1.1\r\nHost: {address}\r\n{lines}\r\n");
            let expected = if is_probe(route) { 200 } else { 401 };
            assert_eq!(status(&world, &request).await, expected, "{request}");
        }
        let in_url =
            format!("{route}?token={token}&access_token={token} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        assert_eq!(status(&world, &in_url).await, if is_probe(route) { 200 } else { 401 });
    }
    nothing_was_asked(&world);
    let request = format!("GET /version HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let refused = world.client().await.ask(&request).await;
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    assert_eq!(refused.code(), "unauthenticated");
}

#[tokio::test]
async fn a_foreign_or_missing_host_reaches_nothing() {
    let world = world(json!({})).await;
    let port = world.address.port();
    let wrong = [
        ("".to_owned(), 400),
        (format!("Host: 127.0.0.1:{port}\r\nHost: 127.0.0.1:{port}\r\n"), 400),
        (format!("Host: evil.test:{port}\r\n"), 421),
        ("Host: evil.test\r\n".to_owned(), 421),
        (format!("Host: 127.0.0.1:{}\r\n", port ^ 1), 421),
        (format!("Host: 127.0.0.1.evil.test:{port}\r\n"), 421),
        (format!("Host: 127.0.0.1@evil.test:{port}\r\n"), 421),
        (format!("Host: evil.test@127.0.0.1:{port}\r\n"), 421),
        (format!("Host: localhost.:{port}\r\n"), 421),
        ("Host: localhost:\r\n".to_owned(), 421),
        ("Host: \r\n".to_owned(), 421),
        (format!("Host: 2130706433:{port}\r\n"), 421),
        (format!("Host: [::ffff:127.0.0.1]:{port}\r\n"), 421),
        (format!("Host: 0.0.0.0:{port}\r\n"), 421),
        (format!("Host: 192.168.1.1:{port}\r\n"), 421),
    ];
    for route in ROUTES {
        for (lines, expected) in &wrong {
            let request = format!("{route} HTTP/1.1\r\n{lines}Authorization: Bearer {}\r\n\r\n", world.token);
            assert_eq!(status(&world, &request).await, *expected, "{request}");
        }
        let (method, path) = route.split_once(' ').expect("two words");
        let absolute = world.head(&format!("{method} http://evil.test{path}"), "");
        assert_eq!(status(&world, &absolute).await, 421, "{absolute}");
        let old = format!("{route} HTTP/1.0\r\nAuthorization: Bearer {}\r\n\r\n", world.token);
        assert_eq!(status(&world, &old).await, 400, "{old}");
    }
    nothing_was_asked(&world);
}

#[tokio::test]
async fn every_name_of_the_listener_and_every_listed_one_is_a_host() {
    let world = world(json!({ "hosts": ["Box.example", "one.example:8443"] })).await;
    let port = world.address.port();
    let right = [
        format!("127.0.0.1:{port}"),
        "127.0.0.1".to_owned(),
        format!("localhost:{port}"),
        format!("LOCALHOST:{port}"),
        format!("[::1]:{port}"),
        "box.example".to_owned(),
        "box.example:1234".to_owned(),
        "one.example:8443".to_owned(),
    ];
    for host in &right {
        let request = format!("GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(status(&world, &request).await, 200, "{host}");
    }
    for host in ["one.example", "one.example:8444", "sub.box.example"] {
        let request = format!("GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(status(&world, &request).await, 421, "{host}");
    }
    let absolute = world.head(&format!("GET http://{}/livez", world.address), "");
    assert_eq!(status(&world, &absolute).await, 200);
}

#[tokio::test]
async fn a_page_of_a_foreign_origin_reaches_nothing_even_with_the_token() {
    let world = world(json!({ "origins": ["https://box.example"] })).await;
    let port = world.address.port();
    let foreign = [
        "Origin: http://evil.test\r\n".to_owned(),
        "Origin: null\r\n".to_owned(),
        "Origin: \r\n".to_owned(),
        "Origin: *\r\n".to_owned(),
        "Origin: https://box.example.evil.test\r\n".to_owned(),
        "Origin: http://box.example\r\n".to_owned(),
        "Origin: https://box.example:444\r\n".to_owned(),
        "Origin: https://box.example\r\nOrigin: https://box.example\r\n".to_owned(),
        format!("Origin: http://127.0.0.1:{port}\r\n"),
        "Origin: http://evil.test\r\nSec-Fetch-Site: same-origin\r\n".to_owned(),
        "Sec-Fetch-Site: cross-site\r\n".to_owned(),
        "Sec-Fetch-Site: same-site\r\n".to_owned(),
        "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n".to_owned(),
        "Sec-Fetch-Site: nonsense\r\n".to_owned(),
    ];
    for route in ROUTES {
        for lines in &foreign {
            let preflight = "Access-Control-Request-Method: POST\r\n";
            for more in ["", preflight] {
                let request = world.head(route, &format!("{lines}{more}"));
                let refused = world.client().await.ask(&request).await;
                assert_eq!(refused.status, 403, "{request}");
                assert_eq!(refused.header("access-control-allow-origin"), None);
            }
        }
    }
    nothing_was_asked(&world);
    for own in ["Sec-Fetch-Site: none\r\n", "Sec-Fetch-Site: same-origin\r\n"] {
        assert_eq!(world.ask("GET /v1/things/1", own, "").await.status, 200, "{own}");
    }
}

#[tokio::test]
async fn a_page_of_a_listed_origin_may_call_with_the_token() {
    let world = world(json!({ "origins": ["https://box.example"] })).await;
    let origin = "Origin: https://box.example\r\n";
    let preflight = format!(
        "OPTIONS /v1/things HTTP/1.1\r\nHost: {}\r\n{origin}Access-Control-Request-Method: POST\r\n\r\n",
        world.address
    );
    let allowed = world.client().await.ask(&preflight).await;
    assert_eq!(allowed.status, 204);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://box.example"));
    assert_eq!(allowed.header("vary"), Some("origin"));
    assert!(allowed.header("access-control-allow-headers").expect("a list").contains("authorization"));
    let got = world.ask("GET /v1/things/1", &format!("{origin}Sec-Fetch-Site: cross-site\r\n"), "").await;
    assert_eq!((got.status, got.header("access-control-allow-origin")), (200, Some("https://box.example")));
    let request = format!("GET /v1/things/1 HTTP/1.1\r\nHost: {}\r\n{origin}\r\n", world.address);
    let refused = world.client().await.ask(&request).await;
    // The page can read why it was refused.
    assert_eq!(
        (refused.status, refused.header("access-control-allow-origin")),
        (401, Some("https://box.example"))
    );
    let plain = world.get("/v1/things/1").await;
    assert_eq!((plain.status, plain.header("access-control-allow-origin")), (200, None));
}
