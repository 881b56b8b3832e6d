//! Recommendations: four products for a user. Slow at times on purpose: every fifth answer takes 400 to
//! 900 ms.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use super::missing;
use crate::demo::shop::{Product, Shop};

type Asked = Arc<AtomicU64>;

/// The service, below `/recommendations`.
pub(crate) fn router(shop: Arc<Shop>) -> Router {
    Router::new().route("/recommendations/{user}", get(recommend)).with_state((shop, Asked::default()))
}

async fn recommend(State((shop, asked)): State<(Arc<Shop>, Asked)>, Path(user): Path<u32>) -> Response {
    let nth = asked.fetch_add(1, Ordering::Relaxed);
    if nth % 5 == 4 {
        tokio::time::sleep(Duration::from_millis(slowness(nth))).await;
    }
    if !shop.users.iter().any(|known| known.id == user) {
        return missing("user", user);
    }
    let first = (user as usize).wrapping_mul(3);
    let four: Vec<Product> = shop.products.iter().cycle().skip(first % 20).take(4).cloned().collect();
    Json(four).into_response()
}

/// 400 to 900 ms, different from one slow answer to the next.
fn slowness(nth: u64) -> u64 {
    400 + nth.wrapping_mul(37) % 501
}

#[cfg(test)]
mod tests {
    use super::slowness;

    #[test]
    fn slow_answers_take_from_400_to_900_ms() {
        let times: Vec<u64> = (0..1000).map(slowness).collect();
        assert_eq!((times.iter().min(), times.iter().max()), (Some(&400), Some(&900)));
    }
}
