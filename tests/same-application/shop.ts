/** The session data of the application that each framework serves. */
export interface Shop {
  cart: string[];
}
