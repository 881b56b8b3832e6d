//! Products: all, one, or those whose name or category holds a word (`?q=`).

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use super::missing;
use crate::demo::shop::{Product, Shop};

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    q: String,
}

/// The service, below `/products`.
pub(crate) fn router(shop: Arc<Shop>) -> Router {
    Router::new()
        .route("/products", get(list))
        .route("/products/", get(list))
        .route("/products/{id}", get(one))
        .with_state(shop)
}

async fn list(State(shop): State<Arc<Shop>>, Query(search): Query<Search>) -> Json<Vec<Product>> {
    let word = search.q.to_lowercase();
    let fits =
        |product: &&Product| product.name.to_lowercase().contains(&word) || product.category.contains(&word);
    Json(shop.products.iter().filter(fits).cloned().collect())
}

async fn one(State(shop): State<Arc<Shop>>, Path(id): Path<u32>) -> Response {
    match shop.products.iter().find(|product| product.id == id) {
        Some(product) => Json(product).into_response(),
        None => missing("product", id),
    }
}
