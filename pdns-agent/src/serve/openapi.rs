//! `/openapi.json`: the description of the API for programs that read such descriptions (`OpenAPI` 3.1).
//!
//! The description is a file beside this one. A test compares it with the routes of the router: each route is
//! described, and nothing else.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::sync::LazyLock;

/// The description, with the version of this program filled in.
static TEXT: LazyLock<String> = LazyLock::new(|| {
    include_str!("openapi.json").replacen(
        "\"VERSION\"",
        concat!("\"", env!("CARGO_PKG_VERSION"), "\""),
        1,
    )
});

/// Handles a request for the description.
pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    /// Returns the routes in the router's source: path, method.
    fn routes() -> BTreeSet<(String, &'static str)> {
        let source = include_str!("router.rs").split("#[cfg(test)]").next().unwrap();
        let mut found = BTreeSet::new();
        for rest in source.split(".route(\"").skip(1) {
            let (path, handlers) = rest.split_once('"').unwrap();
            let handlers = handlers.split("))\n").next().unwrap();
            for method in ["get", "post", "put", "patch", "delete"] {
                if handlers.contains(&format!("{method}(")) {
                    found.insert((path.to_owned(), method));
                }
            }
        }
        assert!(found.len() > 10, "{found:?}");
        found
    }

    /// Returns true if a route matches the paths of an entry in the description.
    fn takes(route: &str, path: &str) -> bool {
        match route.strip_suffix("{*tail}") {
            Some(head) => path.len() > head.len() && path.starts_with(head),
            None => route == path,
        }
    }

    #[test]
    fn routes_and_description_agree() {
        let document: Value = serde_json::from_str(&TEXT).unwrap();
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        let mut described = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys() {
                described.insert((path.clone(), method.clone()));
            }
        }
        let routes = routes();
        for (path, method) in &described {
            let is_there =
                routes.iter().any(|(route, known)| takes(route, path) && known == method);
            assert!(is_there, "{method} {path} is described, and there is no such route");
        }
        for (route, method) in &routes {
            let is_told =
                described.iter().any(|(path, known)| takes(route, path) && known == method);
            assert!(is_told, "{method} {route} is not described");
        }
    }

    #[test]
    fn references_lead_somewhere_and_names_are_used_once() {
        let document: Value = serde_json::from_str(&TEXT).unwrap();
        let mut ids = BTreeSet::new();
        for operation in document["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|path| path.as_object().unwrap().values())
        {
            assert!(
                ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
                "{operation}"
            );
        }
        for reference in TEXT.split("\"$ref\": \"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
