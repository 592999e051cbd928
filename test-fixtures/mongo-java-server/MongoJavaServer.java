import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;

/** Serves on the loopback port that it is given, until it is killed. */
public final class MongoJavaServer {
  public static void main(String[] arguments) {
    new MongoServer(new OneAtATime()).bind("127.0.0.1", Integer.parseInt(arguments[0]));
    System.out.println("listening");
  }

  /**
   * MongoDB changes a document in one step, and answers what that step made of it. This server alone does not: two
   * updates at once lose one of them, and answers share their documents with the store until they are sent.
   */
  private static final class OneAtATime extends MemoryBackend {
    @Override
    public synchronized Document handleMessage(MongoMessage message) {
      return super.handleMessage(message).cloneDeeply();
    }
  }
}
