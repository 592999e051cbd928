import {
  type CanActivate,
  Controller,
  createParamDecorator,
  type ExecutionContext,
  Get,
  Module,
  Post,
  UnauthorizedException,
  UseGuards,
} from "@nestjs/common";
import { SessionManager } from "@sojourn/core";
import type { RequestSession, SessionOf } from "@sojourn/express"; // or "@sojourn/fastify"
import { MemoryStore } from "@sojourn/memory";

interface Data {
  cart: string[];
}
export const manager = new SessionManager<Data>({ store: new MemoryStore() });

const sessionIn = (context: ExecutionContext): SessionOf<typeof manager> => context.switchToHttp().getRequest().session;

/** A parameter of a handler: the session of the request. Nest awaits it. */
const CurrentSession = createParamDecorator((_, context) => sessionIn(context));

/** Answers 401 to a request without a login. */
class LoginGuard implements CanActivate {
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const { userId } = await sessionIn(context);
    if (userId === undefined) throw new UnauthorizedException();
    return true;
  }
}

@Controller()
class ShopController {
  @Post("login")
  async login(@CurrentSession() session: RequestSession<Data>): Promise<void> {
    await session.regenerate({ userId: "ann" }); // after a check of the password
  }

  @Post("add")
  @UseGuards(LoginGuard)
  add(@CurrentSession() session: RequestSession<Data>): void {
    session.data.cart = [...(session.data.cart ?? []), "book"];
  }

  @Get("cart")
  @UseGuards(LoginGuard)
  cart(@CurrentSession() session: RequestSession<Data>): readonly string[] {
    return session.data.cart ?? [];
  }
}

@Module({ controllers: [ShopController] })
export class ShopModule {}
