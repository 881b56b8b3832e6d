//! What the shop has: users, products, orders and payments.
//!
//! Takes nothing, gives the same shop each time: names and prices are written down, the rest is computed from
//! them, so that a total is always the sum of its lines. Prices are in cents.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// A customer.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct User {
    pub(crate) id: u32,
    pub(crate) username: &'static str,
    pub(crate) name: &'static str,
    pub(crate) city: &'static str,
    pub(crate) member_since: u16,
}

/// A thing to buy.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Product {
    pub(crate) id: u32,
    pub(crate) name: &'static str,
    pub(crate) category: &'static str,
    pub(crate) price_cents: u64,
    pub(crate) stock: u32,
}

/// A line of an order.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    pub(crate) product: u32,
    pub(crate) name: &'static str,
    pub(crate) quantity: u32,
    pub(crate) price_cents: u64,
}

/// What a user has bought.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Order {
    pub(crate) id: u32,
    pub(crate) user: u32,
    pub(crate) status: &'static str,
    pub(crate) lines: Vec<Line>,
    pub(crate) total_cents: u64,
}

/// What a user has paid.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Payment {
    #[serde(default)]
    pub(crate) id: u32,
    pub(crate) user: u32,
    pub(crate) amount_cents: u64,
}

/// The whole shop.
pub(crate) struct Shop {
    pub(crate) users: Vec<User>,
    pub(crate) products: Vec<Product>,
    pub(crate) orders: Vec<Order>,
    payments: Mutex<Vec<Payment>>,
}

/// Payments kept in memory; the oldest go first.
const PAYMENTS_KEPT: usize = 1000;

const USERS: [(&str, &str, &str, u16); 10] = [
    ("ada", "Ada Lovelace", "London", 2019),
    ("alan", "Alan Turing", "Manchester", 2020),
    ("barbara", "Barbara Liskov", "Boston", 2018),
    ("edsger", "Edsger Dijkstra", "Eindhoven", 2021),
    ("frances", "Frances Allen", "New York", 2017),
    ("grace", "Grace Hopper", "Arlington", 2016),
    ("hedy", "Hedy Lamarr", "Vienna", 2022),
    ("katherine", "Katherine Johnson", "Hampton", 2015),
    ("konrad", "Konrad Zuse", "Berlin", 2023),
    ("margaret", "Margaret Hamilton", "Paoli", 2020),
];

const PRODUCTS: [(&str, &str, u64, u32); 20] = [
    ("Brass compass", "navigation", 4900, 12),
    ("Sextant", "navigation", 18900, 3),
    ("Tide table 2027", "books", 1450, 240),
    ("Sea chart, North Sea", "navigation", 2900, 60),
    ("Storm lantern", "light", 3900, 34),
    ("Head torch", "light", 2450, 80),
    ("Oilskin coat", "clothing", 12900, 18),
    ("Wool jumper", "clothing", 8900, 25),
    ("Sou'wester", "clothing", 3450, 40),
    ("Rubber boots", "clothing", 5900, 31),
    ("Mooring line, 20 m", "rope", 4400, 50),
    ("Throw line", "rope", 2900, 44),
    ("Bowline primer", "books", 1900, 75),
    ("Lighthouse stories", "books", 2200, 66),
    ("Enamel mug", "galley", 1200, 300),
    ("Kettle", "galley", 3600, 28),
    ("Ship's biscuit, 1 kg", "galley", 990, 500),
    ("Signal flags, set of 40", "signals", 15900, 7),
    ("Fog horn", "signals", 2700, 22),
    ("Ship's bell", "signals", 9900, 9),
];

const STATUSES: [&str; 4] = ["paid", "packed", "sent", "delivered"];

impl Shop {
    /// Fills the shelves.
    pub(crate) fn open() -> Shop {
        let users = (1..).zip(USERS).map(|(id, (username, name, city, member_since))| User {
            id,
            username,
            name,
            city,
            member_since,
        });
        let products: Vec<Product> = (1..)
            .zip(PRODUCTS)
            .map(|(id, (name, category, price_cents, stock))| Product {
                id,
                name,
                category,
                price_cents,
                stock,
            })
            .collect();
        let orders = (1..=30).map(|id| order(id, &products)).collect();
        Shop { users: users.collect(), products, orders, payments: Mutex::default() }
    }

    /// What a user still has to pay: the orders less the payments.
    pub(crate) fn balance_cents(&self, user: u32) -> i128 {
        let ordered: u64 =
            self.orders.iter().filter(|order| order.user == user).map(|order| order.total_cents).sum();
        let payments = self.payments.lock().unwrap_or_else(PoisonError::into_inner);
        let paid: i128 = payments.iter().filter(|p| p.user == user).map(|p| i128::from(p.amount_cents)).sum();
        i128::from(ordered) - paid
    }

    /// Takes a payment and gives it its number.
    pub(crate) fn pay(&self, payment: Payment) -> Payment {
        let mut payments = self.payments.lock().unwrap_or_else(PoisonError::into_inner);
        let id = payments.last().map_or(1, |last| last.id.saturating_add(1));
        let payment = Payment { id, ..payment };
        if payments.len() >= PAYMENTS_KEPT {
            payments.remove(0);
        }
        payments.push(payment.clone());
        payment
    }
}

/// One to three lines, spread over the products by the order's number.
fn order(id: u32, products: &[Product]) -> Order {
    let lines: Vec<Line> = (0..=id % 3)
        .filter_map(|nth| {
            let product = products.iter().cycle().nth((id * 7 + nth * 5) as usize)?;
            let quantity = 1 + (id + nth) % 3;
            Some(Line { product: product.id, name: product.name, quantity, price_cents: product.price_cents })
        })
        .collect();
    let total_cents = lines.iter().map(|line| u64::from(line.quantity) * line.price_cents).sum();
    let status = STATUSES.iter().cycle().nth(id as usize).copied().unwrap_or_default();
    Order { id, user: 1 + id % 10, status, lines, total_cents }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_the_sums_of_their_lines_and_every_user_has_orders() {
        let shop = Shop::open();
        assert_eq!((shop.users.len(), shop.products.len(), shop.orders.len()), (10, 20, 30));
        for order in &shop.orders {
            let sum: u64 = order.lines.iter().map(|line| u64::from(line.quantity) * line.price_cents).sum();
            assert_eq!(order.total_cents, sum);
            assert!(order.total_cents > 0);
        }
        for user in &shop.users {
            assert_eq!(shop.orders.iter().filter(|order| order.user == user.id).count(), 3);
        }
    }

    #[test]
    fn a_payment_lowers_the_balance_by_its_amount() {
        let shop = Shop::open();
        let before = shop.balance_cents(1);
        assert_eq!(shop.pay(Payment { id: 0, user: 1, amount_cents: 100 }).id, 1);
        assert_eq!(shop.pay(Payment { id: 0, user: 2, amount_cents: 50 }).id, 2);
        assert_eq!(shop.balance_cents(1), before - 100);
    }
}
